"""Pure: values, look-ups, difference, plan and change sets. No sockets, files, databases or clocks."""
