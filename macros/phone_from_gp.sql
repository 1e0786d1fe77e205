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

{#- Ranges such as [2-9] are compared in binary order: in a dictionary order, they hold ² and ¼ too. -#}
{% macro default__phone_from_gp(phone) -%}
    {%- set like = 'collate Latin1_General_BIN2 like' -%}
    {%- set not_like = 'collate Latin1_General_BIN2 not like' -%}
    {%- set d3 = '[0-9][0-9][0-9]' -%}
    {%- set d7 = d3 ~ d3 ~ '[0-9]' -%}
    {%- set area = '[2-9][0-9][0-9]' -%}
    {%- set area_code = default_area_code() -%}
    (
        select
            case
                when part.typed {{ like }} '%0%' and part.typed {{ not_like }} '%[^0x]%' then null
                when part.typed {{ like }} '%[0-9]e+[0-9]%' then null
                when part.number is null or part.number = '0000000000'
                    or part.extension {{ like }} '%[^0-9]%' then {{ phone }}
                else
                    case
                        when part.number like '000%' then '{{ area_code ~ "-" if area_code }}'
                        else left(part.number, 3) + '-'
                    end
                    + substring(part.number, 4, 3) + '-' + substring(part.number, 7, 4)
                    + case
                        when part.extension {{ like }} '%[1-9]%'
                            then ' x' + substring(part.extension, patindex('%[1-9]%', part.extension), 21)
                        else ''
                    end
            end
        from (
            select
                split.typed,
                case
                    when split.main {{ like }} '{{ area ~ d7 }}' then split.main
                    when split.main {{ like }} '000{{ d7 }}' then split.main
                    when split.main {{ like }} '{{ d7 }}' then '000' + split.main
                    when split.main {{ like }} '1{{ area ~ d7 }}' then substring(split.main, 2, 10)
                    when split.main {{ like }} '+1{{ area ~ d7 }}' then substring(split.main, 3, 10)
                    when split.typed {{ like }} '{{ area ~ d7 ~ d3 }}[0-9]' then left(split.typed, 10)
                    when split.typed {{ like }} '000{{ d7 ~ d3 }}[0-9]' then left(split.typed, 10)
                end as number,
                case
                    when len(split.typed) = 14 and split.typed {{ not_like }} '%[^0-9]%' then right(split.typed, 4)
                    else split.extension
                end as extension
            from (
                select
                    clean.typed,
                    left(clean.typed, charindex('x', clean.typed + 'x') - 1) as main,
                    substring(clean.typed, charindex('x', clean.typed + 'x') + 1, 21) as extension
                from (
                    select
                        case
                            when {{ phone }} {{ like }} '%[^0-9]%' then
                                replace(translate(
                                    replace(replace(replace(
                                        lower({{ phone }}), 'extension', 'x'), 'ext', 'x'), '#', 'x'
                                    ), '(). /:,', '-------'
                                ), '-', '')
                            else {{ phone }}
                        end as typed
                ) as clean
            ) as split
        ) as part
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
