{#- A GP phone → CRM's format (spec: PHONEFROMGP with masks ###-###-#### and x####). GP keeps 14 digits: area code 3,
    number 7, extension 4; imports leave what people type. `phone` is a column that gp_text has trimmed.

        60355512341310                  603-555-1234 x1310
        60355512340567                  603-555-1234 x567       leading zeros of an extension go,
        60355512340000                  603-555-1234            with 0000 the whole of it
        6035551234, 16035551234         603-555-1234
        (603) 555-1234 Ext. 567         603-555-1234 x567       typed: extension, ext, x or #
        5551234, 00055512340000         555-1234                var default_area_code goes in front
        00000000000000                  null
        6.03556E+13                     null                    a spreadsheet has eaten the number
        01144207946001, 1-800-FLOWERS   as they are             not a US number: its area code begins with 2 to 9
-#}
{% macro phone_from_gp(phone) -%}
    {{ return(adapter.dispatch('phone_from_gp')(phone)) }}
{%- endmacro %}

{#- SQL Server writes out a derived column wherever it is used, unless it is an aggregate: so `typed` is the maximum of one
    row, and is used seldom. Its shape says where the area code, the seven digits and the extension begin. A phone has one
    shape at most, as each has another length or another first digit. Ranges such as [2-9] are compared in binary order:
    in a dictionary order, they hold ² and ¼ too. -#}
{% macro default__phone_from_gp(phone) -%}
    {%- set like = 'collate Latin1_General_BIN2 like' -%}
    {%- set d3 = '[0-9][0-9][0-9]' -%}
    {%- set d4 = d3 ~ '[0-9]' -%}
    {%- set area = '[2-9][0-9][0-9]' -%}
    {%- set area_code = default_area_code() -%}
    (
        select
            case
                when clean.typed {{ like }} '%0%' and not clean.typed {{ like }} '%[^0x]%' then null
                when clean.typed {{ like }} '%[0-9]e+[0-9]%' then null
                when shape.number_at is null then {{ phone }}
                else
                    case
                        when shape.area_at > 0 then substring(clean.typed, shape.area_at, 3) + '-'
                        else '{{ area_code ~ "-" if area_code }}'
                    end
                    + stuff(substring(clean.typed, shape.number_at, 7), 4, 0, '-')
                    + coalesce(' x' + nullif(replace(ltrim(replace(replace(
                        substring(clean.typed, shape.extension_at, 21), 'x', ''
                    ), '0', ' ')), ' ', '0'), ''), '')
            end
        from (
            select max(once.typed) as typed
            from (
                values
                (replace(translate(
                    replace(replace(replace(lower({{ phone }}), 'extension', 'x'), 'ext', 'x'), '#', 'x'),
                    '(). /:,', '-------'
                ), '-', '') + 'x')
            ) as once (typed)
        ) as clean
        left join (
            values
            ('{{ area ~ d3 ~ d4 }}x%', 1, 4, 12),
            ('000{{ d3 ~ d4 }}x%', 0, 4, 12),
            ('{{ d3 ~ d4 }}x%', 0, 1, 9),
            ('1{{ area ~ d3 ~ d4 }}x%', 2, 5, 13),
            ('+1{{ area ~ d3 ~ d4 }}x%', 3, 6, 14),
            ('{{ area ~ d3 ~ d4 ~ d4 }}x', 1, 4, 11),
            ('000{{ d3 ~ d4 ~ d4 }}x', 0, 4, 11)
        ) as shape (looks, area_at, number_at, extension_at)
            on
                clean.typed {{ like }} shape.looks
                and not clean.typed {{ like }} '%x%[^0-9]%x'
                and (shape.area_at > 0 or substring(clean.typed, shape.number_at, 7) <> '0000000')
    )
{%- endmacro %}

{% macro duckdb__phone_from_gp(phone) -%}
    {%- set area_code = default_area_code() -%}
    {%- set typed -%}
        regexp_replace(regexp_replace(lower({{ phone }}), 'extension|ext|#', 'x', 'g'), '[-(). /:,]', '', 'g')
    {%- endset -%}
    {%- set gp = "'^(?:([2-9][0-9]{2})|000)([0-9]{3})([0-9]{4})(?:0000|0*([1-9][0-9]*))$'" -%}
    {%- set people = "'^(?:(?:[+]?1)?([2-9][0-9]{2})|000)?([0-9]{3})([0-9]{4})(?:x0*([0-9]*))?$'" -%}
    case
        when regexp_full_match({{ typed }}, 'x*0[0x]*') then null
        when regexp_matches({{ typed }}, '[0-9]e[+][0-9]') then null
        when regexp_full_match({{ typed }}, '(000)?0000000(x[0-9]*|[0-9]{4})?') then {{ phone }}
        {%- for condition, shape in [
            ('regexp_full_match(' ~ typed ~ ", '[0-9]{14}') and ", gp), ('', people)
        ] %}
        when {{ condition }}regexp_matches({{ typed }}, {{ shape }})
            then regexp_replace(
                regexp_replace(regexp_replace({{ typed }}, {{ shape }}, '\1-\2-\3 x\4'), ' x$', ''),
                '^-', '{{ area_code ~ "-" if area_code }}'
            )
        {%- endfor %}
        else {{ phone }}
    end
{%- endmacro %}
