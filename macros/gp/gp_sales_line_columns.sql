{% macro gp_sales_line_columns() %}
---------- keys
company,
{{ gp_number('SOPTYPE') }} as document_type,
{{ gp_text('SOPNUMBE') }} as document_number,
{{ gp_document_name('SOPNUMBE') }} as document_name,
{{ gp_key('SOPNUMBE') }} as document_key,
{{ gp_number('LNITMSEQ') }} as line_sequence,
{{ gp_number('CMPNTSEQ') }} as component_sequence,
{{ gp_number('DEX_ROW_ID') }} as row_id,
{{ gp_text('ITEMNMBR') }} as item_number,
{{ gp_key('ITEMNMBR') }} as item_key,

---------- text
{{ gp_text('ITEMDESC') }} as item_description,
{{ gp_text('UOFM') }} as unit_of_measure,
{{ gp_text('SHIPMTHD') }} as shipping_method,
{{ gp_text('ADDRESS1') }} as ship_to_line1,
{{ gp_text('ADDRESS2') }} as ship_to_line2,
{{ gp_text('ADDRESS3') }} as ship_to_line3,
{{ gp_text('CITY') }} as ship_to_city,
{{ gp_text('STATE') }} as ship_to_state,
{{ gp_text('ZIPCODE') }} as ship_to_postal_code,
{{ gp_text('COUNTRY') }} as ship_to_country,
{{ gp_text('PHONE1') }} as ship_to_phone,
{{ gp_text('FAXNUMBR') }} as ship_to_fax,

---------- flags
{{ gp_number('NONINVEN') }} as non_inventory,

---------- dates, local
{{ gp_date('ReqShipDate') }} as requested_ship_date,

---------- quantities, in the line's unit
{{ gp_number('QUANTITY') }} as quantity,
{{ gp_number('QTYCANCE') }} as quantity_cancelled,
{{ gp_number('QTYPRINV') }} as quantity_invoiced,
{{ gp_number('QTYPRORD') }} as quantity_reordered,
{{ gp_number('QTYPRBAC') }} as quantity_back_ordered,

---------- amounts, functional currency
{{ gp_number('UNITPRCE') }} as unit_price,
{{ gp_number('MRKDNAMT') }} as markdown_amount,
{{ gp_number('XTNDPRCE') }} as extended_price,
{{ gp_number('TAXAMNT') }} as tax_amount
{% endmacro %}
