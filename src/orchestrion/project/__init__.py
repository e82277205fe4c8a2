from ._finding import Finding as Finding
