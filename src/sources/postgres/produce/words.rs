//! Names spelled as pg_dump spells them: quoted only where they must be.

/// What the newest pg_dump quotes though it is made of small letters: all words of SQL that are not free for every use.
const WORDS: &str = "\
all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case cast char character \
check coalesce collate collation column concurrently constraint create cross current_catalog current_date current_role current_schema \
current_time current_timestamp current_user dec decimal default deferrable desc distinct do else end except exists extract false fetch \
float for foreign freeze from full grant greatest group grouping having ilike in initially inner inout int integer intersect interval \
into is isnull join json json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize \
json_table json_value lateral leading least left like limit localtime localtimestamp merge_action national natural nchar none normalize \
not notnull null nullif numeric offset on only or order out outer overlaps overlay placing position precision primary real references \
returning right row select session_user setof similar smallint some substring symmetric system_user table tablesample then time \
timestamp to trailing treat trim true union unique user using values varchar variadic verbose when where window with xmlattributes \
xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable";

/// A name as it stands in a dump.
pub fn spelled(name: &str) -> String {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let plain = name.bytes().next().is_some_and(letter)
        && name.bytes().all(|byte| letter(byte) || byte.is_ascii_digit())
        && !WORDS.split(' ').any(|word| word == name);
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use super::spelled;

    #[test]
    fn only_what_must_be_is_quoted() {
        for plain in ["a", "_x1", "orders", "name", "value", "window_1"] {
            assert_eq!(spelled(plain), plain);
        }
        for odd in ["", "1a", "Orders", "a b", "ä", "a$", "select", "window", "xmltable", "all"] {
            assert_eq!(spelled(odd), format!("\"{odd}\""));
        }
        assert_eq!(spelled("a\"b"), "\"a\"\"b\"");
    }
}
