//! What each call does when nothing is in its way.

mod create;
mod files;
mod receive;
mod tokens;

use pan123_proto::Endpoint;

use crate::{
    exchange::Exchange,
    fields::Fields,
    reply::{Refusal, Reply},
};
pub(crate) use receive::{single, slice};

/// Answers a call whose body fits in memory.
pub(crate) async fn small_call(
    exchange: &Exchange,
    endpoint: Endpoint,
    fields: &Fields,
) -> Result<Reply, Refusal> {
    match endpoint {
        Endpoint::AccessToken => tokens::access_token(&exchange.service, fields).map(Reply::ok),
        Endpoint::OauthToken => tokens::oauth(&exchange.service, fields),
        Endpoint::Create => create::create(exchange, fields).map(Reply::ok),
        Endpoint::Complete => create::complete(exchange, fields).await,
        Endpoint::Domain => Ok(Reply::ok(exchange.service.servers.clone().into())),
        Endpoint::Sha1Reuse => create::sha1_reuse(exchange, fields).await.map(Reply::ok),
        Endpoint::Mkdir => files::mkdir(&exchange.service, fields).map(Reply::ok),
        Endpoint::List => files::list(&exchange.service, fields).map(Reply::ok),
        Endpoint::Detail => files::detail(&exchange.service, fields).map(Reply::ok),
        Endpoint::UserInfo => Ok(Reply::ok(files::user_info(&exchange.service))),
        Endpoint::Slice | Endpoint::Single => Err(Refusal::internal("route", "this call carries a file")),
    }
}
