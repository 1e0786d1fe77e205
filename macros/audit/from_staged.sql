{% macro from_staged(model_name, table, key, is_ended) -%}
    from {{ ref(model_name) }} as staged
    {%- if is_ended %}
    where exists (
        select 1
        from {{ ref('audit_journal_records') }} as journal
        where
            journal.crm_table = '{{ table }}'
            and journal.match_key = {{ folded(key) }}
            and journal.in_crm = 1
            and journal.is_closed = 0
    )
    {%- endif %}
{%- endmacro %}
