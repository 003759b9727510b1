//! What the product is told without asking.

use sandbox_sdk::{auth::webhook::HEADER, types::WebhookBody};
use schemars::SchemaGenerator;
use serde_json::{Value, json};

const ABOUT: &str = "Sent to the product's URL, if one is set. Events of a session come in their \
order, and one may come twice: it has the same id. It is a nudge: the record of the turn is asked \
for by its ids.";
const SIGNATURE: &str = "`t=…,v1=…`: the time of the try in seconds since the Unix epoch, and the \
HMAC-SHA256 in hexadecimal digits, by the webhooks' secret, of that time, a dot and the body's \
bytes.";

pub(super) fn webhooks(answered: &mut SchemaGenerator) -> Value {
    let kind = WebhookBody::TURN_ENDED;
    let body = answered.subschema_for::<WebhookBody>().to_value();
    let body = json!({"allOf": [body, {"properties": {"type": {"const": kind}}}]});
    let ended = json!({
        "operationId": "turnEnded",
        "tags": ["Webhooks"],
        "summary": "Tells that a turn has ended.",
        "description": ABOUT,
        "parameters": [{
            "name": HEADER,
            "in": "header",
            "required": true,
            "description": SIGNATURE,
            "schema": {"type": "string"},
        }],
        "requestBody": {"required": true, "content": {"application/json": {"schema": body}}},
        "responses": {
            "2XX": {"description": "It was taken."},
            "4XX": {"description": "It is not sent again, except after 408, 425 and 429."},
            "default": {
                "description": "It is sent again for a day, with growing pauses. A Retry-After in \
                                seconds makes them longer.",
            },
        },
        "security": [],
    });
    json!({kind: {"post": ended}})
}
