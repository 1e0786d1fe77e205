{% macro unmapped_codes() -%}
    {%- set selects = [] -%}
    {%- for model in audited_models() -%}
        {%- set codes = codes_of(model.columns, model.noun) -%}
        {%- if codes -%}
            {%- do selects.append(unmapped_codes_of(
                model.name, model.table, model.table, codes, record_key(model, 'staged'), record_amount(model, 'staged'), model.is_ended
            )) -%}
        {%- endif -%}
        {%- set codes = codes_of(model.child.columns, model.noun) if model.child else [] -%}
        {%- if codes -%}
            {%- do selects.append(unmapped_codes_of(
                model.child.name, model.child.meta.table, model.table, codes,
                line_parent(model, 'staged'), 'cast(null as decimal(38, 5))', model.is_ended
            )) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(selects) }}
{%- endmacro %}
