"""The language of filters.

    filter     = all { "or" all }
    all        = part { "and" part }
    part       = "not" part | "(" filter ")" | condition
    condition  = field comparison value | field ["not"] "in" "(" value { "," value } ")"
               | field "startswith" value | field "exists"
    comparison = "=" | "!=" | "<" | "<=" | ">" | ">="

Keywords in capitals or not. A field is a dotted path with quotes round keys that are not plain, as in
`rise_store.store.paths`. A value is text in single or double quotes with the escapes of JSON, or a bare word: it ends
at a space, at a closing parenthesis that it did not open, and in a list at a comma; so URLs need no quotes.
"""

from __future__ import annotations

from rise_store.errors import FilterError
from rise_store.retrieval.where.scanner import Scanner, Value
from rise_store.retrieval.where.values import BOUNDS, bound, equals_any, is_one_of, read_date, read_number, readings
from rise_store.store import And, Exists, Filter, Not, Or, Prefix, Scalar, resolve_field

MOST_LEVELS = 100

_COMPARISONS = '"=", "!=", "<", "<=", ">", ">=", "in", "not in", "startswith" or "exists"'


def parse_language(text: str) -> Filter:
    """The filter that `text` describes; `FilterError` says at which column it does not, and what was expected."""
    scanner = Scanner(text)
    where = _any(scanner, 0)
    if not scanner.at_end():
        raise _end_error(scanner, '"and", "or" or the end')
    return where


def _any(scanner: Scanner, level: int) -> Filter:
    parts = [_all(scanner, level)]
    while scanner.take_keyword("or"):
        parts.append(_all(scanner, level))
    return parts[0] if len(parts) == 1 else Or(tuple(parts))


def _all(scanner: Scanner, level: int) -> Filter:
    parts = [_part(scanner, level)]
    while scanner.take_keyword("and"):
        parts.append(_part(scanner, level))
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _part(scanner: Scanner, level: int) -> Filter:
    if level > MOST_LEVELS:
        raise scanner.error(f"at most {MOST_LEVELS} levels of parentheses and negations")
    if scanner.take_keyword("not"):
        return Not(_part(scanner, level + 1))
    if scanner.take("("):
        where = _any(scanner, level + 1)
        if not scanner.take(")"):
            raise _end_error(scanner, '"and", "or" or ")"')
        return where
    return _condition(scanner)


def _condition(scanner: Scanner) -> Filter:
    field = _field(scanner)
    operator = scanner.take_operator()
    if operator is not None:
        return _comparison(scanner, field, operator)
    keyword = scanner.take_keyword("in", "not", "startswith", "exists")
    match keyword:
        case "in":
            return _list(scanner, field)
        case "not":
            if not scanner.take_keyword("in"):
                raise scanner.error('"in" after "not"')
            return Not(_list(scanner, field))
        case "startswith":
            return Prefix(field, _value(scanner, "startswith").text)
        case "exists":
            return Exists(field)
    raise scanner.error(_COMPARISONS)


def _field(scanner: Scanner) -> str:
    start = scanner.position
    name = None if scanner.take_keyword("and", "or") else scanner.take_field()
    if name is None:
        scanner.position = start
        raise scanner.error("a field")
    try:
        return resolve_field(name)
    except FilterError as error:
        scanner.position = start
        raise scanner.refusal(str(error)) from error


def _comparison(scanner: Scanner, field: str, operator: str) -> Filter:
    scanner.at_end()
    start = scanner.position
    value = _value(scanner, operator)
    if operator == "=":
        return equals_any(field, _readings(value))
    if operator == "!=":
        return Not(equals_any(field, _readings(value)))
    number = None if value.quoted else read_number(value.text)
    limit = read_date(value.text) if number is None else number
    if limit is None:
        scanner.position = start
        raise scanner.error(f'a number or a date after "{operator}"')
    return bound(field, BOUNDS[operator], limit)


def _list(scanner: Scanner, field: str) -> Filter:
    if not scanner.take("("):
        raise scanner.error('"(" after "in"')
    values = [_value(scanner, "(", in_list=True)]
    while scanner.take(","):
        values.append(_value(scanner, ",", in_list=True))
    if not scanner.take(")"):
        raise _end_error(scanner, '"," or ")"')
    return is_one_of(field, map(_readings, values))


def _end_error(scanner: Scanner, expected: str) -> FilterError:
    hint = ". A value with spaces needs quotes" if scanner.at_word() else ""
    return scanner.error(expected, hint)


def _value(scanner: Scanner, after: str, *, in_list: bool = False) -> Value:
    value = scanner.take_value(in_list=in_list)
    if value is None:
        raise scanner.error(f'a value after "{after}"')
    return value


def _readings(value: Value) -> tuple[Scalar, ...]:
    return (value.text,) if value.quoted else readings(value.text)
