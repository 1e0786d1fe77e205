{#- The project's vars, checked: a wrong value is an error here that names the right ones, never a wrong row there. -#}

{% macro setting(name, allowed) -%}
    {%- set value = var(name) -%}
    {%- if value not in allowed -%}
        {{ exceptions.raise_compiler_error(
            "var `" ~ name ~ "` is " ~ (value | tojson) ~ "; allowed: " ~ (allowed | map('tojson') | join(', '))
        ) }}
    {%- endif -%}
    {{ return(value) }}
{%- endmacro %}

{% macro amounts() -%}
    {{ return(setting('amounts', ['spec', 'reconciled'])) }}
{%- endmacro %}

{% macro transferred() -%}
    {{ return(setting('transferred', ['fully', 'partly'])) }}
{%- endmacro %}

{#- `names` is 'iana' or 'windows'. -#}
{% macro gp_time_zone(names) -%}
    {%- set zone = var('gp_time_zone') -%}
    {%- if zone is not mapping or not zone.get('iana') or not zone.get('windows') -%}
        {{ exceptions.raise_compiler_error(
            "var `gp_time_zone` is " ~ (zone | tojson) ~ "; it needs both names of one zone, as in"
            ~ " {iana: America/New_York, windows: Eastern Standard Time}"
        ) }}
    {%- endif -%}
    {{ return(zone[names] | replace("'", "''")) }}
{%- endmacro %}

{#- Three digits, or none ('') where the var is 000. YAML reads an unquoted 603 as a number and 000 as 0. -#}
{% macro default_area_code() -%}
    {%- set code = var('default_area_code') -%}
    {%- set digits = '%03d' | format(code) if code is integer and code is not boolean else code | string -%}
    {%- if not modules.re.match('^(000|[2-9][0-9][0-9])$', digits) -%}
        {{ exceptions.raise_compiler_error(
            "var `default_area_code` is " ~ (code | tojson) ~ "; allowed: three digits of which the first is 2 to 9,"
            ~ " or \"000\" for none"
        ) }}
    {%- endif -%}
    {{ return('' if digits == '000' else digits) }}
{%- endmacro %}
