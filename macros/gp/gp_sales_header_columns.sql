{% macro gp_sales_header_columns(document_type) %}
---------- keys
company,
{{ document_type }} as document_type,
{{ gp_text('SOPNUMBE') }} as document_number,
{{ gp_document_name('SOPNUMBE') }} as document_name,
{{ gp_key('SOPNUMBE') }} as document_key,
{{ gp_text('CUSTNMBR') }} as customer_number,
{{ gp_key('CUSTNMBR') }} as customer_key,
{{ gp_text('PRBTADCD') }} as bill_to_address_code,
{{ gp_key("coalesce(PRBTADCD, '')") }} as bill_to_address_key,
{{ gp_number('ORIGTYPE') }} as original_type,
{{ gp_document_name('ORIGNUMB') }} as original_name,
{{ gp_number('MSTRNUMB') }} as master_number,

---------- status
{{ gp_number('SOPSTATUS') }} as order_status,
{{ gp_number('VOIDSTTS') }} as void_status,

---------- text
{{ gp_text('CUSTNAME') }} as customer_name,
{{ gp_text('PRCLEVEL') }} as price_level,
{{ gp_text('PYMTRMID') }} as payment_terms,
{{ folded(gp_text('PYMTRMID')) }} as payment_terms_key,
{{ gp_text('SHIPMTHD') }} as shipping_method,
{{ folded(gp_text('SHIPMTHD')) }} as shipping_method_key,
{{ gp_text('SALSTERR') }} as sales_territory,
{{ gp_text('ADDRESS1') }} as ship_to_line1,
{{ gp_text('ADDRESS2') }} as ship_to_line2,
{{ gp_text('ADDRESS3') }} as ship_to_line3,
{{ gp_text('CITY') }} as ship_to_city,
{{ gp_text('STATE') }} as ship_to_state,
{{ gp_text('ZIPCODE') }} as ship_to_postal_code,
{{ gp_text('COUNTRY') }} as ship_to_country,
{{ gp_text('PHNUMBR1') }} as ship_to_phone,
{{ gp_text('FAXNUMBR') }} as ship_to_fax,

---------- dates, local
DOCDATE as document_day, {#- bare, for GP's index #}
{{ gp_date('DOCDATE') }} as document_date,
{{ gp_date('INVODATE') }} as invoice_date,
{{ gp_date('ReqShipDate') }} as requested_ship_date,
{{ gp_date('ACTLSHIP') }} as actual_ship_date,
{{ gp_date('DUEDATE') }} as due_date,

---------- amounts, functional currency
{{ gp_number('DISTKNAM') }} as terms_discount_amount,
{{ gp_number('TRDISAMT') }} as trade_discount_amount,
{{ gp_number('FRTAMNT') }} as freight_amount,
{{ gp_number('MISCAMNT') }} as miscellaneous_amount,
{{ gp_number('SUBTOTAL') }} as subtotal,
{{ gp_number('TAXAMNT') }} as tax_amount,
{{ gp_number('DOCAMNT') }} as document_amount
{% endmacro %}
