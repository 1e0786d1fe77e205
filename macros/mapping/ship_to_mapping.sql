{% macro ship_to_mapping(relation) -%}
        cast({{ relation }}.shipping_method as varchar(200)) as shipto_name,
        cast({{ relation }}.ship_to_line1 as varchar(250)) as shipto_line1,
        cast({{ relation }}.ship_to_line2 as varchar(250)) as shipto_line2,
        cast({{ relation }}.ship_to_line3 as varchar(250)) as shipto_line3,
        cast({{ relation }}.ship_to_city as varchar(80)) as shipto_city,
        cast({{ relation }}.ship_to_state as varchar(50)) as shipto_stateorprovince,
        cast({{ relation }}.ship_to_postal_code as varchar(20)) as shipto_postalcode,
        cast({{ relation }}.ship_to_country as varchar(80)) as shipto_country,
        cast({{ phone_from_gp(relation ~ '.ship_to_phone') }} as varchar(50)) as shipto_telephone,
        cast({{ phone_from_gp(relation ~ '.ship_to_fax') }} as varchar(50)) as shipto_fax
{%- endmacro %}
