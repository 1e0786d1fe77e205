{% macro invoices_since() -%}
    {%- set since = var('invoices_since') -%}
    {%- if since is integer and since is not boolean and since >= 0 -%}
        {{ return(days_ago(since)) }}
    {%- elif modules.re.match('^[0-9]{4}-[0-9]{2}-[0-9]{2}$', since | string) -%}
        {{ return("cast('" ~ since ~ "' as date)") }}
    {%- endif -%}
    {{ exceptions.raise_compiler_error(
        "var `invoices_since` is " ~ (since | string | tojson) ~ "; allowed: a number of days back, or a date such as"
        ~ " \"2024-01-31\""
    ) }}
{%- endmacro %}
