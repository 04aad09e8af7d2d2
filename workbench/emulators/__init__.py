"""Wire-compatible stand-ins for the Azure services that Tidehunt talks to."""
