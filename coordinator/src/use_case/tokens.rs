//! Tokens: making one, seeing which there are, taking one back; and who a program is that shows one.

#[cfg(test)]
mod tests;

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{Actor, Right, User};
use crate::audit;
use crate::store::tables::{TOKENS, USERS};
use crate::store::{Draft, Reads, StoreError};
use crate::tokens::{
    MAX_TOKENS_OF_USER, Scope, TOKEN_LIFETIME, Token, TokenError, TokenKey, check_lifetime, check_name, check_scopes,
    generate,
};
use protocol::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// The use of a token is noted at most so often.
const TOUCH: Duration = Duration::from_secs(60);

/// What kind of token to make.
#[derive(Clone, Debug, Default)]
pub struct TokenRequest {
    /// What it is called; no two of a user are called the same.
    pub name: String,
    /// The user whose rights it gets; `None` for who asks. Only administrators name somebody else.
    pub owner: Option<String>,
    /// What it opens.
    pub scopes: BTreeSet<Scope>,
    /// How long it is good for; `None` for [`TOKEN_LIFETIME`].
    pub lifetime: Option<Duration>,
}

/// A token without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenView {
    /// Names it, to revoke it.
    pub id: String,
    /// As kept.
    pub token: Token,
    /// When a program last showed it, give or take a minute; `None` when none did, or that was forgotten.
    pub last_used: Option<Timestamp>,
    /// Whether it opens nothing any more: its time or its owner's account is over.
    pub is_over: bool,
}

/// A token that was just made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What a program shows. It is kept nowhere.
    pub text: String,
    /// All else about it.
    pub view: TokenView,
}

/// A program that shows a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// Its owner, with the role that they have now.
    pub actor: Actor,
    /// How far the token reaches.
    pub scopes: BTreeSet<Scope>,
    /// Which token it is.
    pub key: TokenKey,
}

impl From<TokenError> for UseCaseError {
    fn from(error: TokenError) -> Self {
        Self::Invalid { field: error.field(), reason: error.to_string() }
    }
}

/// The bearer of a token that is good at `now`.
fn bearer(reads: &impl Reads, key: TokenKey, now: Timestamp) -> Result<Option<Bearer>, StoreError> {
    let Some(token) = reads.get(&TOKENS, &key.bytes())? else { return Ok(None) };
    let owner = reads.get(&USERS, &token.owner.as_str().to_owned())?;
    let owner = owner.filter(|owner| token.is_good(owner, now));
    let actor = |owner: User| Actor::new(owner.name, owner.role);
    Ok(owner.map(|owner| Bearer { actor: actor(owner), scopes: token.scopes, key }))
}

/// Every token that `wanted` takes, those of one owner together, by name.
fn listed(reads: &impl Reads, wanted: impl Fn(&Token) -> bool) -> Result<Vec<(TokenKey, Token)>, StoreError> {
    let rows = reads.iter(&TOKENS).map(|row| row.map(|(key, token)| (TokenKey::from_bytes(key), token)));
    let mut found =
        rows.filter(|row| row.as_ref().map_or(true, |(_, token)| wanted(token))).collect::<Result<Vec<_>, _>>()?;
    found.sort_by(|(_, one), (_, other)| (&one.owner, &one.name).cmp(&(&other.owner, &other.name)));
    Ok(found)
}

fn words(id: &str, token: &Token) -> String {
    let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.name()).collect();
    format!("{id} ({}) of {}: {}, until {}", token.name, token.owner, scopes.join(" "), token.expires)
}

/// Stages a token for `owner`.
fn make(
    draft: &mut Draft,
    actor: &Actor,
    key: TokenKey,
    request: &TokenRequest,
    now: Timestamp,
) -> Result<Token, UseCaseError> {
    let name = check_name(&request.name)?;
    let lifetime = check_lifetime(request.lifetime.unwrap_or(TOKEN_LIFETIME))?;
    let owner = owner(draft, actor, request.owner.as_deref())?;
    check_scopes(&request.scopes, &owner)?;
    let theirs = listed(draft, |token| token.owner == owner.name)?;
    if theirs.iter().any(|(_, token)| token.name == name) {
        return Err(TokenError::SameName(owner.name, name.as_str().to_owned()).into());
    }
    if theirs.len() >= MAX_TOKENS_OF_USER {
        return Err(TokenError::TooMany(owner.name).into());
    }
    let (scopes, expires) = (request.scopes.clone(), now.plus(lifetime));
    let token = Token { name, owner: owner.name, scopes, created: now, expires };
    audit::note(draft, actor, "token create", &words(&key.id(), &token), now)?;
    draft.put(&TOKENS, &key.bytes(), &token)?;
    Ok(token)
}

/// Whose token it is to be.
fn owner(draft: &Draft, actor: &Actor, wanted: Option<&str>) -> Result<User, UseCaseError> {
    let name = wanted.map(str::trim).filter(|name| !name.is_empty()).unwrap_or(actor.name.as_str());
    if name != actor.name.as_str() {
        actor.require(Right::Administer)?;
    }
    let unknown = || match wanted {
        Some(_) => TokenError::UnknownOwner(name.to_owned()),
        None => TokenError::NoOwner,
    };
    Ok(draft.get(&USERS, &name.to_owned())?.ok_or_else(unknown)?)
}

impl Coordinator {
    /// Makes a token. Its text is in the answer and nowhere else.
    pub async fn create_token(&self, actor: &Actor, request: TokenRequest) -> Result<NewToken, UseCaseError> {
        actor.require(Right::Read)?;
        let (text, key) =
            generate().map_err(|error| UseCaseError::Conflict(format!("the system gives no randomness: {error}")))?;
        let (who, now) = (actor.clone(), Timestamp::now());
        let token = self.store().update(move |draft| make(draft, &who, key, &request, now)).await?;
        Ok(NewToken { text, view: TokenView { id: key.id(), token, last_used: None, is_over: false } })
    }

    /// The tokens of who asks.
    pub async fn own_tokens(&self, actor: &Actor) -> Result<Vec<TokenView>, UseCaseError> {
        actor.require(Right::Read)?;
        let name = actor.name.clone();
        self.token_views(move |token| token.owner == name).await
    }

    /// The tokens of all users.
    pub async fn tokens(&self, actor: &Actor) -> Result<Vec<TokenView>, UseCaseError> {
        actor.require(Right::Administer)?;
        self.token_views(|_| true).await
    }

    /// Takes a token back: it opens nothing any more. Administrators may do that with everybody's.
    pub async fn revoke_token(&self, actor: &Actor, id: &str) -> Result<TokenView, UseCaseError> {
        actor.require(Right::Read)?;
        let (who, id, now) = (actor.clone(), id.trim().to_lowercase(), Timestamp::now());
        let revoked = self.store().update(move |draft| {
            let may = |token: &Token| token.owner == who.name || who.role.may(Right::Administer);
            let found = listed(draft, may)?.into_iter().find(|(key, _)| key.id() == id);
            let (key, token) = found.ok_or_else(|| UseCaseError::NotFound(format!("token {id}"), "tokens"))?;
            audit::note(draft, &who, "token revoke", &words(&id, &token), now)?;
            draft.remove(&TOKENS, &key.bytes())?;
            Ok::<_, UseCaseError>((key, token))
        });
        let (key, token) = revoked.await?;
        let last_used = self.last_used(key).await?;
        self.store().volatile().remove(used_key(key)).await?;
        Ok(TokenView { id: key.id(), token, last_used, is_over: true })
    }

    /// Who shows this text as a token, and how far it reaches; notes that it was used.
    pub async fn bearer_of(&self, shown: &str) -> Result<Option<Bearer>, UseCaseError> {
        let Some(key) = TokenKey::of(shown) else { return Ok(None) };
        let Some(bearer) = self.bearer(key).await? else { return Ok(None) };
        let now = Timestamp::now();
        if self.last_used(key).await?.is_none_or(|used| now.since(used) >= TOUCH) {
            self.store().volatile().put(used_key(key), now.as_millis().to_be_bytes().to_vec()).await?;
        }
        Ok(Some(bearer))
    }

    /// The bearer of a token as things stand now, without counting as use; `None` once it opens nothing.
    pub async fn bearer(&self, key: TokenKey) -> Result<Option<Bearer>, UseCaseError> {
        let now = Timestamp::now();
        Ok(self.store().read(move |view| bearer(view, key, now)).await?)
    }

    async fn token_views(
        &self,
        wanted: impl Fn(&Token) -> bool + Send + 'static,
    ) -> Result<Vec<TokenView>, UseCaseError> {
        let now = Timestamp::now();
        let found = self.store().read(move |view| {
            let rows = listed(view, wanted)?.into_iter();
            rows.map(|(key, token)| Ok((key, token, bearer(view, key, now)?.is_none()))).collect::<Result<Vec<_>, _>>()
        });
        let mut views = Vec::new();
        for (key, token, is_over) in found.await? {
            views.push(TokenView { id: key.id(), token, last_used: self.last_used(key).await?, is_over });
        }
        Ok(views)
    }

    async fn last_used(&self, key: TokenKey) -> Result<Option<Timestamp>, StoreError> {
        let millis = self.store().volatile().get(used_key(key)).await?;
        let millis = millis.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
        Ok(millis.map(|millis| Timestamp::from_millis(u64::from_be_bytes(millis))))
    }
}

/// Where the last use is kept: beside the sessions, since it may be lost.
fn used_key(key: TokenKey) -> Vec<u8> {
    [b"token used/".as_slice(), &key.bytes()].concat()
}
