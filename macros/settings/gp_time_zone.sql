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
