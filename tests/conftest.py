"""What all tests share: log lines in a plain form, which a failing test shows."""

import structlog

structlog.configure(processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()])
