{% macro codes_of(columns, noun) -%}
    {%- set codes = [] -%}
    {%- for column in columns if column.crm.get('xref') -%}
        {%- set xref = column.crm.xref -%}
        {%- do codes.append({
            'column': column,
            'code': columns | selectattr('name', 'equalto', xref.code) | first,
            'reason': xref.called ~ '_unmapped',
            'effect': noun | replace(' ', '_') ~ '_blocked' if xref.unmapped == 'block' else 'column_left',
        }) -%}
    {%- endfor -%}
    {{ return(codes) }}
{%- endmacro %}
