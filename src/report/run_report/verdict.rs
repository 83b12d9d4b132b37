//! What happened, in one sentence.

use super::rows_text;
use crate::domain::language::Translated;
use crate::domain::response::outcome::Outcome;
use crate::report::figures::Figures;
use crate::report::state::StateName;
use crate::report::text::count;

/// What happened to the rows, and how many of them a person must look at.
pub(super) fn verdict(figures: &Figures, effect: Translated, needs_attention: u64) -> Translated<String> {
    let (done, attention) = (done(figures, effect), attention(needs_attention));
    let begin = match figures.state {
        StateName::Planned => {
            let rows = rows_text(figures.rows);
            return Translated::new(
                format!("Planned: {}, nothing was sent", rows.en),
                format!("已计划：{}，尚未发送任何请求", rows.zh),
            );
        }
        StateName::Finished => {
            return Translated::new(format!("{}; {}", done.en, attention.en), format!("{}；{}", done.zh, attention.zh));
        }
        StateName::Sending => Translated::new("Being sent", "发送中"),
        StateName::Stopped => Translated::new("Stopped", "已停止"),
        StateName::Halted => Translated::new("Halted", "已中止"),
        StateName::Interrupted => Translated::new("Cut short", "已中断"),
        StateName::Superseded => Translated::new("Given up for another run", "已被另一次运行取代"),
    };
    let left = left(figures.outcomes[Outcome::Pending]);
    Translated::new(
        format!("{}, {}: {}; {}", begin.en, left.en, done.en, attention.en),
        format!("{}，{}：{}；{}", begin.zh, left.zh, done.zh, attention.zh),
    )
}

fn done(figures: &Figures, effect: Translated) -> Translated<String> {
    let [succeeded, already] = [Outcome::Succeeded, Outcome::AlreadyDone].map(|outcome| figures.outcomes[outcome]);
    let rows = count(figures.rows);
    let mut done = Translated::new(
        format!("{} of {rows} {}", count(succeeded), effect.en),
        format!("{rows} 行中，{} 行{}", count(succeeded), effect.zh),
    );
    if already > 0 {
        done.en.push_str(&format!(", {} already done", count(already)));
        done.zh.push_str(&format!("，{} 行原本就是期望状态", count(already)));
    }
    done
}

fn attention(rows: u64) -> Translated<String> {
    match rows {
        0 => Translated::new("no row needs your attention".to_owned(), "没有需要您处理的行".to_owned()),
        1 => Translated::new("1 row needs your attention".to_owned(), "1 行需要您处理".to_owned()),
        many => Translated::new(
            format!("{} rows need your attention", count(many)),
            format!("{} 行需要您处理", count(many)),
        ),
    }
}

fn left(rows: u64) -> Translated<String> {
    match rows {
        1 => Translated::new("1 row is left".to_owned(), "剩余 1 行".to_owned()),
        rows => Translated::new(format!("{} rows are left", count(rows)), format!("剩余 {} 行", count(rows))),
    }
}
