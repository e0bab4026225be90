"""Documents as people keep them, one reader a file: PDF, DOCX, HTML, Markdown, text, tables, Delta tables.

gather.py walks a folder and puts what the readers give into one table on disk; base.py says what a
reader is. What `dibs task new` indexes and what `dibs synthesize` asks about is read here and nowhere else.
"""
