"""The box office: decides who gets which seat, in order of arrival, many commands in one transaction."""
