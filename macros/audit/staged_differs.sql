{% macro staged_differs(column) -%}
    {%- set staged, crm = 'staged.' ~ column.name, 'crm.' ~ column.name -%}
    {%- set family = type_family(column.data_type) -%}
    case
        {%- if column.crm.xref %}
        when {{ staged }} is null and staged.{{ column.crm.xref.code }} is not null then 0
        {%- endif %}
        when {{ staged }} is null and {{ crm }} is null then 0
        when {{ staged }} is null or {{ crm }} is null then 1
        {%- if column.crm.lookup %}
        {%- for key in column.crm.lookup.match.values() %}
        when coalesce({{ folded('cast(staged.' ~ key ~ ' as ' ~ text_type(400) ~ ')') }}, '') <> coalesce({{ folded('crm.' ~ key) }}, '') then 1
        {%- endfor %}
        {%- elif family == 'text' %}
        when {{ exact_text('left(' ~ staged ~ ', coalesce(held.max_length, 4000))') }} <> {{ exact_text(crm) }} then 1
        {%- elif family == 'instant' %}
        when held.column_type = 'date' and cast({{ staged }} as date) <> cast({{ crm }} as date) then 1
        when held.column_type = 'day' and {{ seconds_between(crm, staged) }} not between 0 and 86399.999 then 1
        when held.column_type not in ('date', 'day') and {{ staged }} <> {{ crm }} then 1
        {%- elif family == 'decimal' %}
        when coalesce(try_cast(abs({{ staged }} - {{ crm }}) as decimal(27, 11)), 1) > coalesce(held.rounding, 0.5) then 1
        when coalesce(try_cast(abs({{ staged }}) - abs({{ crm }}) as decimal(27, 11)), 1) >= coalesce(held.rounding, 0.5) then 1
        {%- else %}
        when {{ staged }} <> {{ crm }} then 1
        {%- endif %}
        else 0
    end
{%- endmacro %}
