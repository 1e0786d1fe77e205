{% macro gp_receivable_columns() %}
---------- keys
company,
{{ gp_text('CUSTNMBR') }} as customer_number,
{{ gp_key('CUSTNMBR') }} as customer_key,
{{ gp_number('RMDTYPAL') }} as document_type,
{{ gp_text('DOCNUMBR') }} as document_number,
{{ gp_key('DOCNUMBR') }} as document_key,

---------- status
{{ gp_number('VOIDSTTS') }} as void_status,

---------- amounts, functional currency
{{ gp_number('ORTRXAMT') }} as original_amount,
{{ gp_number('CURTRXAM') }} as current_amount
{% endmacro %}
