"""Reads documents: text layer, RapidOCR or Google Document AI."""
