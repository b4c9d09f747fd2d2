//! Guides to what has its cause in the server or on the way to it: the same request can succeed later.

use super::Guide;
use crate::http::problem::{Code, Problem};

pub(super) const REQUEST_TIMEOUT: Guide = Guide {
    meaning: "The head of the request came and its body did not. Nothing was executed.",
    causes: &[
        "The connection stalled, or the client announced more bytes in Content-Length than it sent.",
        "A proxy holds the body back.",
    ],
    cures: &["If it happens for one client only, compare its Content-Length with what it sends."],
    example: || Problem::new(Code::RequestTimeout, "nothing of the body came for 30 s: nothing was executed"),
};

pub(super) const INTERNAL: Guide = Guide {
    meaning: "Something failed that should not. The server has written the reason into its log.",
    causes: &[
        "The disk or the database could not be read, or there is a defect in the server.",
        "The same request has stopped the engine twice: it is not carried out again before the next start, so that others are served.",
    ],
    cures: &["The log has the reason beside the time of the request. `holdfast verify` tells whether the data is whole."],
    example: || Problem::new(Code::Internal, "the store could not be read"),
};

pub(super) const OVERLOADED: Guide = Guide {
    meaning: "More requests came than the server lets wait. This one was turned away at once instead of late.",
    causes: &[
        "A rush: more orders a second than the disk syncs, or one hot SKU.",
        "The cluster behind the server is slow or away, so that requests pile up.",
        "One client (a scope of API keys; without keys an address) has as many requests in hand, bytes of bodies \
         under way, or streams open, as one client may have: the detail says so, and others are served.",
    ],
    cures: &[
        "Add a random delay to Retry-After, or all clients come back in the same moment.",
        "If it lasts, see the metric `shard_depth`; `engine.credits` says how many requests a shard may have in hand, \
         `server.bodies_mb` how much of bodies that come in pieces, `server.key_share_percent` which part of each one client may have.",
    ],
    example: || Problem::new(Code::Overloaded, "too many requests are in hand"),
};

pub(super) const PAUSED: Guide = Guide {
    meaning: "The operator has stopped new orders and reservations for a while. Payments, cancellations and retries of what was placed go on.",
    causes: &["`orders.accepting` is false: before a sale, during a stock-take, or while something behind the shop is mended."],
    cures: &[
        "For operators: `holdfast tune show` says who turned it off and when, and `holdfast tune plan orders.accepting=true` begins to turn it on.",
    ],
    example: crate::http::routes::accepting::paused,
};

pub(super) const SHUTTING_DOWN: Guide = Guide {
    meaning: "The server was told to stop and did not take this request any more.",
    causes: &["A deployment or a restart: requests that are in hand are answered, later ones are turned away."],
    cures: &["Take a server out of the balancer when /readyz says 503, which it does from the moment it is told to stop."],
    example: || Problem::new(Code::ShuttingDown, "the server stops and the body has not come: nothing was executed"),
};

pub(super) const DURABILITY_UNAVAILABLE: Guide = Guide {
    meaning: "The server cannot write to disk, and answers nothing that it could lose.",
    causes: &[
        "It has just started and still reads its journal.",
        "The disk is full or failing, or the cluster behind the server cannot be reached.",
        "A newer process has taken the journal over.",
    ],
    cures: &[
        "For operators: make space, or mend the disk or the cluster. The server goes on by itself, nothing acknowledged is lost.",
    ],
    example: crate::http::reply::unavailable,
};
