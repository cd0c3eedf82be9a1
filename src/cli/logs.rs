//! `logs`: the running coordinator's log files, from their end, and what comes to them.

use super::print::{self, Form};
use super::{Place, Shared};
use crate::client::Client;
use crate::exit::Exit;
use clap::Args;
use protocol::Timestamp;
use std::time::Duration;
use web::api::logs::{Line, Lines};

/// How often new lines are asked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How many new lines are asked for at once.
const MOST_AT_ONCE: &str = "1000";

#[derive(Args)]
#[command(after_help = "\
Examples:
  portdrift logs
  portdrift logs --file error --lines 20
  portdrift logs --file scheduler --follow
  portdrift logs --level warn --text 192.0.2.7")]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    place: Place,
    /// Which log: app, error or scheduler
    #[arg(long, default_value = "app", value_parser = ["app", "error", "scheduler"])]
    file: String,
    /// Lines as bad as this, or worse
    #[arg(long, value_parser = ["error", "warn", "info", "debug", "trace"])]
    level: Option<String>,
    /// Lines with this in them
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Lines from this time on
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Lines up to this time
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// How many at most
    #[arg(long, default_value_t = 50, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=2000))]
    lines: u16,
    /// Go on with what comes, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
}

pub(crate) async fn run(args: LogsArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let client = args.place.client()?;
    let form = shared.form();
    let first = read(&client, &args, &[("limit", &args.lines.to_string())]).await?;
    if !args.follow {
        match form {
            Form::JsonLines => tell(&first, form)?,
            Form::Text | Form::Json | Form::Ids => form.show(&first, |lines| text(&lines.lines))?,
        }
        return Ok(Exit::Done);
    }
    tell(&first, form)?;
    let mut place = first.newer;
    loop {
        tokio::select! {
            ended = tokio::signal::ctrl_c() => return ended.map(|()| Exit::Done).map_err(Into::into),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let after = place.clone().unwrap_or_default();
        let next = read(&client, &args, &[("after", after.as_str()), ("limit", MOST_AT_ONCE)]).await?;
        tell(&next, form)?;
        place = next.newer.or(place);
    }
}

async fn read(client: &Client, args: &LogsArgs, more: &[(&str, &str)]) -> anyhow::Result<Lines> {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    let (since, until) = (time(args.since), time(args.until));
    let given = [
        ("file", args.file.as_str()),
        ("level", args.level.as_deref().unwrap_or_default()),
        ("text", args.text.as_deref().unwrap_or_default()),
        ("since", &since),
        ("until", &until),
    ];
    let given = given.iter().chain(more).filter(|(_, value)| !value.is_empty());
    let url = reqwest::Url::parse_with_params("http://localhost/", given)?;
    client.get(&format!("/logs?{}", url.query().unwrap_or_default())).await
}

/// New lines as they come: one object a line for programs.
fn tell(lines: &Lines, form: Form) -> anyhow::Result<()> {
    if lines.gap {
        print::note("some lines were put away and deleted before they could be shown");
    }
    match form {
        Form::Json | Form::JsonLines => {
            lines.lines.iter().try_for_each(|line| print::line(&serde_json::to_string(line)?))
        }
        Form::Text | Form::Ids => print::line(&text(&lines.lines)),
    }
}

fn text(lines: &[Line]) -> String {
    let row = |line: &Line| {
        let time = line.time.map(|time| format!("{time} ")).unwrap_or_default();
        let level = line.level.as_ref().map(|level| format!("{:5} ", level.to_uppercase())).unwrap_or_default();
        format!("{time}{level}{}", line.text)
    };
    lines.iter().map(row).collect::<Vec<_>>().join("\n")
}
