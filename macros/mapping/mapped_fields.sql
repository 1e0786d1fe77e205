{% macro mapped_fields(model_name, tables) -%}
    {%- set fields = [] -%}
    {%- set gp_types = {} -%}
    {%- set sources = graph.get('sources', {}).values() if execute else [] -%}
    {%- for source in sources if source.source_name == 'gp' -%}
        {%- for column in source.columns.values() -%}
            {%- do gp_types.update({source.name ~ '.' ~ column.name: column.data_type}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- for column in crm_mapping().get(model_name, {}).get('columns', []) -%}
        {%- for gp_column in gp_columns_of(column.crm) or [none] -%}
            {%- if gp_column and (gp_column not in gp_types or gp_column.split('.')[0] not in tables) -%}
                {{ exceptions.raise_compiler_error(
                    model_name ~ "." ~ column.name ~ ": meta.crm.gp names " ~ gp_column ~ "; audit_field_trace knows the"
                    ~ " columns in __sources.yml of " ~ (tables | join(', ')) ~ ". Add it there, or correct the YAML."
                ) }}
            {%- endif -%}
            {%- do fields.append({
                'number': fields | length + 1,
                'column': column,
                'gp_column': gp_column,
                'gp_type': gp_types.get(gp_column),
                'rule': column.crm.get('rule', ''),
            }) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(fields) }}
{%- endmacro %}
