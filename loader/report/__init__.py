"""What is shown: words, figures, the page, the JSON envelope. Nothing here writes to CRM."""
