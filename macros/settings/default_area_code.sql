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
