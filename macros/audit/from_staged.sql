{#- The `from` clause that reads the rows of a crm model, which the select calls `staged`. Of a model that never creates,
    only what CRM has and the loader has not closed there: the rest of GP's history is not its business. `key` is the
    column expression of the record's key. -#}
{% macro from_staged(model_name, table, key, is_ended) -%}
    from {{ ref(model_name) }} as staged
    {%- if is_ended %}
    where exists (
        select 1
        from {{ ref('int_journal_records') }} as journal
        where
            journal.crm_table = '{{ table }}'
            and journal.match_key = {{ folded(key) }}
            and journal.in_crm = 1
            and journal.is_closed = 0
    )
    {%- endif %}
{%- endmacro %}
