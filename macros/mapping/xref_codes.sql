{% macro xref_codes(seed) -%}
    select
        {{ folded('gp_code') }} as code_key,
        min(crm_value) as crm_value

    from {{ ref(seed) }}
    group by {{ folded('gp_code') }}
{%- endmacro %}
