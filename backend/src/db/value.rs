//! Values that go into queries, and rows that come out.

use sqlx::{Arguments, Database, Encode, FromRow, Type, postgres::PgRow, sqlite::SqliteRow};

/// A value of a query: all our columns are text or 64-bit integers.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(Option<String>),
    Int(Option<i64>),
}

/// What can be read from a row of either database.
pub(crate) trait Row:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{}

/// The values of a query, in the order of its placeholders.
macro_rules! args {
    ($($value:expr),* $(,)?) => {
        vec![$(crate::db::Value::from($value)),*]
    };
}
pub(crate) use args;

macro_rules! value_from {
    ($($type:ty => $value:ident, $convert:expr;)+) => {
        $(impl From<$type> for Value {
            fn from($value: $type) -> Self {
                $convert
            }
        })+
    };
}

value_from! {
    i64 => value, Self::Int(Some(value));
    Option<i64> => value, Self::Int(value);
    &str => value, Self::Text(Some(value.to_owned()));
    String => value, Self::Text(Some(value));
    &String => value, Self::Text(Some(value.clone()));
    Option<&str> => value, Self::Text(value.map(str::to_owned));
    Option<String> => value, Self::Text(value);
    crate::Credits => value, Self::Int(Some(value.micros()));
    &crate::AccountId => value, Self::from(value.as_str());
    &crate::ChatId => value, Self::from(value.as_str());
    &crate::TurnId => value, Self::from(value.as_str());
    Option<&crate::ChatId> => value, Self::from(value.map(crate::ChatId::as_str));
}

/// Binds the values for one database.
pub(super) fn bind<'q, DB>(values: Vec<Value>) -> Result<DB::Arguments, sqlx::Error>
where
    DB: Database,
    Option<String>: Encode<'q, DB> + Type<DB>,
    Option<i64>: Encode<'q, DB> + Type<DB>,
{
    let mut arguments = DB::Arguments::default();
    for value in values {
        match value {
            Value::Text(text) => arguments.add(text),
            Value::Int(number) => arguments.add(number),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}
