"""The MCP server: the face for agents' clients. Each tool is a command of the command line."""
