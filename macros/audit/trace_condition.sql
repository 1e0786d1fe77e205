{% macro trace_condition(trace, joined, types, sought_by) -%}
    {%- set gp = 'gp_' ~ (trace.index(joined) + 1) -%}
    {%- set prefixed = gp_companies() | selectattr('prefix') | list -%}
    {%- set conditions = [] -%}
    {%- for column, value in joined.on.items() -%}
        {%- set here = gp ~ '.' ~ column -%}
        {%- if value is number -%}
            {%- do conditions.append((here if value else gp_number(here)) ~ ' = ' ~ value) -%}
        {%- elif value == sought_by -%}
            {%- do conditions.append(gp_key(here) ~ ' = staged.' ~ value) -%}
        {%- elif value.startswith("'") -%}
            {%- do conditions.append(folded(here) ~ ' = ' ~ folded(value)) -%}
        {%- elif '.' in value -%}
            {%- do conditions.append(gp_key(here) ~ ' = ' ~ gp_key(traced_column(trace, value, ''))) -%}
        {%- elif types.get(value, 'text') != 'text' -%}
            {%- do conditions.append(gp_number(here) ~ ' = staged.' ~ value) -%}
        {%- else -%}
            {%- do conditions.append(folded(here) ~ ' = ' ~ folded('staged.' ~ value)) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for column, value in joined.get('document', {}).items() -%}
        {%- if prefixed -%}
            {%- do conditions.append(gp ~ '.' ~ column ~ '__key = ' ~ folded('staged.' ~ value)) -%}
        {%- else -%}
            {%- do conditions.append(folded(gp ~ '.' ~ column) ~ ' = ' ~ folded('staged.' ~ value)) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if gp != 'gp_1' -%}
        {%- do conditions.append(gp ~ '.company = gp_1.company') -%}
    {%- endif -%}
    {{ conditions | join(' and ') }}
{%- endmacro %}
