{% macro trace_rows(joined) -%}
    {%- set prefixed = gp_companies() | selectattr('prefix') | list -%}
    {%- set tables, names = [joined.table], ['*'] -%}
    {%- if joined.get('or_table') -%}
        {%- set tables = [joined.table, joined.or_table] -%}
        {%- set names = gp_columns(joined.table) | select('in', gp_columns(joined.or_table)) | list + ['company'] -%}
    {%- endif -%}
    {%- for table in tables -%}
    select
        {{ names | join(', ') }}
        {%- for column in joined.get('document', {}) if prefixed %},
        {{ folded(gp_document_name(column)) }} as {{ column }}__key
        {%- endfor %}
    from (
        {{ gp_rows(table) | indent(8) }}
    ) as gp_rows
    {%- if table != joined.table %}
    where not exists (
        select 1
        from (
            {{ gp_rows(joined.table) | indent(12) }}
        ) as rather
        where
            rather.company = gp_rows.company
            {%- for column in joined.on.keys() | list + joined.get('document', {}).keys() | list %}
            and rather.{{ column }} = gp_rows.{{ column }}
            {%- endfor %}
    )
    {%- endif %}
    {{ 'union all' if not loop.last }}
    {% endfor -%}
{%- endmacro %}
