//! GraphQL and HTTP.
