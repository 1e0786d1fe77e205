{% macro gp_companies() -%}
    {%- set listed = var('gp_companies') -%}
    {%- set database = var('gp_database') or env_var('GP_CRM_GP_DATABASE', '') or target.database -%}
    {%- set schema = var('gp_schema') or ('gp' if target.type == 'duckdb' else 'dbo') -%}
    {%- set companies = [] -%}
    {%- if not listed or (execute and model.resource_type == 'unit_test') -%}
        {{ return([{'name': database, 'database': database, 'schema': schema, 'prefix': '', 'is_listed': false}]) }}
    {%- endif -%}
    {%- if listed is string or listed is mapping or listed is not iterable -%}
        {{ refuse_companies(listed, "it is a list") }}
    {%- endif -%}
    {%- for entry in listed -%}
        {%- if entry is not mapping or (entry.keys() | reject('in', ['name', 'database', 'schema', 'prefix']) | list) -%}
            {{ refuse_companies(entry, "an entry has some of name, database, schema, prefix") }}
        {%- endif -%}
        {%- set company = {
            'name': (entry.get('name') or entry.get('database') or database) | string,
            'database': (entry.get('database') or database) | string,
            'schema': (entry.get('schema') or schema) | string,
            'prefix': (entry.get('prefix') or '') | string,
            'is_listed': true,
        } -%}
        {%- for other in companies -%}
            {%- if company.name | lower == other.name | lower -%}
                {{ refuse_companies(entry, "two companies are named " ~ company.name ~ ": give each a `name`") }}
            {%- elif company.prefix | upper == other.prefix | upper -%}
                {{ refuse_companies(entry, other.name ~ " has the same prefix, so that its orders would meet this one's in"
                    ~ " CRM: give each a `prefix`; one may have none") }}
            {%- elif (company.database ~ '.' ~ company.schema) | lower == (other.database ~ '.' ~ other.schema) | lower -%}
                {{ refuse_companies(entry, other.name ~ " has the same database and schema: its orders would come twice") }}
            {%- endif -%}
        {%- endfor -%}
        {%- do companies.append(company) -%}
    {%- endfor -%}
    {{ return(companies) }}
{%- endmacro %}
