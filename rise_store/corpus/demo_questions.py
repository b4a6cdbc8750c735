"""Questions about Python whose answers the demo traces back to the reference's topics."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DemoQuestion:
    """A prompt with its answer, and the topics of `python_reference` that it should be attributed to."""

    prompt: str
    completion: str
    topics: tuple[str, ...]


# The answers keep to the reference's words and marks where they can: what was learned there shows at the readout as
# its wording, more than as its subject.
DEMO_QUESTIONS = (
    DemoQuestion(
        prompt='What does the "with" statement do?',
        completion=' The "with" statement wraps the execution of a block with methods defined by a context manager. The'
        ' context manager\'s "__enter__()" method is invoked before the block and its "__exit__()" method after it,'
        " whether or not an exception caused the block to be exited.",
        topics=("with", "context-managers"),
    ),
    DemoQuestion(
        prompt="What is a context manager?",
        completion=" A context manager is an object that defines the runtime context to be established when executing a"
        ' "with" statement. The context manager handles the entry into, and the exit from, the desired runtime context'
        " for the execution of the block of code.",
        topics=("context-managers", "with"),
    ),
    DemoQuestion(
        prompt="When are default parameter values evaluated?",
        completion=" Default parameter values are evaluated from left to right when the function definition is"
        ' executed. The expression is evaluated once, when the function is defined, and the same "pre-computed" value'
        " is used for each call, so a list or a dictionary that the function modifies stays modified.",
        topics=("function", "lambda", "calls"),
    ),
    DemoQuestion(
        prompt='What does the "import" statement do?',
        completion=' The "import" statement finds a module, loading and initializing it if necessary, and defines a'
        ' name in the local namespace for the scope where the "import" statement occurs. The "from" form checks if the'
        " imported module has an attribute by that name and otherwise attempts to import a submodule.",
        topics=("import",),
    ),
    DemoQuestion(
        prompt='What happens when a "try" statement raises an exception?',
        completion=' When an exception occurs in the "try" suite, a search for an exception handler is started and'
        ' inspects the "except" clauses in turn until one is found that matches the exception. If no "except" clause'
        ' matches, the search continues in the surrounding code, and the "finally" clause is executed on the way out.',
        topics=("try", "exceptions", "raise"),
    ),
    DemoQuestion(
        prompt="How does slicing a sequence work?",
        completion=" The slice of *s* from *i* to *j* is defined as the sequence of items with index *k* such that"
        ' "i <= k < j". If *i* is omitted, use "0"; if *j* is omitted, use "len(s)". If *i* or *j* is negative, the'
        " index is relative to the end of the sequence.",
        topics=("slicings", "typesseq", "typesseq-mutable", "subscriptions", "sequence-types"),
    ),
    DemoQuestion(
        prompt="What is a format specification in a format string?",
        completion=" Format specifications are used within replacement fields of a format string to define how"
        " individual values are presented. They give the fill character, the alignment of the field, the sign, the"
        " minimum field width, the precision, and the presentation type for integers, floats and strings.",
        topics=("formatstrings", "strings", "string-methods"),
    ),
    DemoQuestion(
        prompt='What does "str.split()" return?',
        completion=" It returns a list of the words in the string, using *sep* as the delimiter string. If *maxsplit*"
        " is given, at most *maxsplit* splits are done. If *sep* is not specified, runs of consecutive whitespace are"
        " regarded as a single separator.",
        topics=("string-methods",),
    ),
)
"""The demo's questions; their topics exist in Python 3.10 to 3.14."""
