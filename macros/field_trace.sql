{#- The parts of audit_field_trace that it builds for orders and for lines alike, out of mapped_fields(). -#}

{#- A row a field: what the YAML says of it. -#}
{% macro field_trace_list(fields) -%}
    {%- for field in fields %}
    select
        {{ field.number }} as field_no,
        '{{ field.column.name }}' as crm_column,
        {{ 1 if field.column.is_sent else 0 }} as is_sent,
        {{ "'" ~ field.gp_column ~ "'" if field.gp_column else 'null' }} as gp_column,
        {{ text_literal(field.rule) }} as mapping_rule
    {{ "union all" if not loop.last }}
    {%- else %}
    select 0 as field_no, '' as crm_column, 0 as is_sent, '' as gp_column, '' as mapping_rule
    {%- endfor %}
{%- endmacro %}

{#- The GP value of the field at hand, from GP's tables by their names. -#}
{% macro field_trace_gp_value(fields) -%}
    case fields.field_no
        when 0 then null
        {%- for field in fields if field.gp_column %}
        when {{ field.number }} then {{ as_text(field.gp_column, field.gp_type) }}
        {%- endfor %}
    end
{%- endmacro %}

{#- Its staged value, from the `crm_*` model. -#}
{% macro field_trace_staged_value(fields) -%}
    case fields.field_no
        when 0 then null
        {%- for field in fields %}
        when {{ field.number }} then {{ as_text('staged.' ~ field.column.name, field.column.data_type) }}
        {%- endfor %}
    end
{%- endmacro %}
