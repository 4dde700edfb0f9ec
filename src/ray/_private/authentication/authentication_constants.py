"""Names and texts of token authentication."""

TOKEN_AUTH_ENABLED_BUT_NO_TOKEN_FOUND_ERROR_MESSAGE = (
    "Token authentication is enabled but no authentication token was found"
)
TOKEN_INVALID_ERROR_MESSAGE = "Token authentication is enabled but the authentication token is invalid or incorrect."
AUTHORIZATION_HEADER_NAME = "authorization"
RAY_AUTHORIZATION_HEADER_NAME = "x-ray-authorization"
AUTHORIZATION_BEARER_PREFIX = "Bearer "
AUTHENTICATION_TOKEN_COOKIE_NAME = "ray-authentication-token"
AUTHENTICATION_TOKEN_COOKIE_MAX_AGE = 30 * 24 * 60 * 60
