"""What portals of open data read: the catalogue of the data as DCAT-AP.de 3.0.

`facts` gathers what is known from the settings and the database, `graph` says it in RDF, `routes_catalogue` answers.
"""
