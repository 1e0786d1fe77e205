{{ empty_table() }}
