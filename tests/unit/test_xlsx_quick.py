"""The quick way through a workbook reads what expat reads."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from quintet.imports.xlsx import UnreadableWorkbookError
from tests.support.workbooks import BLOCK, EXPAT_ONLY, parts, read


def mostly(usual: Sequence[str], unusual: Sequence[str]) -> st.SearchStrategy[str]:
    """One of the usual, or seldom one that makes expat read the whole block."""
    return st.integers(0, 49).flatmap(lambda number: st.sampled_from(usual if number else unusual))


COLUMNS = ["A", "B", "C", "D", "Z", "AA", "ALL"]
TEXT = st.sampled_from(["", " 7 ", "a&amp;b", "&#65;&#x42;&lt;&gt;&quot;&apos;", "_x0041_", "\n", "\t", "x>y", "é😀"])
RICH_TEXT = st.builds(
    "{}{}</t>{}".format,
    mostly(["<t>", '<t xml:space="preserve">'], ["<t xml:space='preserve'>", "<r><t>bold</t></r><t>"]),
    TEXT,
    mostly([""], ["<rPh><t>x</t></rPh>", "<r><t>more</t></r>", "<phoneticPr/>"]),
)
NUMBER = st.sampled_from(["0", "1", "2", "1.50", "1E3", "45000.5", "12345678901234567", "-1", " 2 ", "x", ""])
FORMULA = mostly(["", "", "<f>A1&amp;B1</f>", '<f t="shared" si="0"/>'], ["<f>1</f><f/>", "<f><x/></f>"])


@st.composite
def cell(draw: st.DrawFn, column: str) -> str:
    """A cell, in this column unless it is an unusual one."""
    attributes = draw(mostly([f' r="{column}1"'], ["", ' r="A1"', ' r="ALM1"', ' r="XFE1"', f" r='{column}1'"]))
    attributes += draw(mostly(["", ' s="0"', ' s="1"', ' s="9"'], [' cm="1"']))
    content = draw(
        st.sampled_from(
            [
                f' t="s"><v>{draw(mostly(["0", "1", "2"], ["3", "-1", "x", "", " 2 "]))}</v></c>',
                f' t="inlineStr"><is>{draw(RICH_TEXT)}</is></c>',
                f' t="str">{draw(FORMULA)}<v>{draw(TEXT)}</v></c>',
                f">{draw(FORMULA)}<v>{draw(NUMBER)}</v></c>",
                f' t="{draw(st.sampled_from("nbed?"))}">{draw(FORMULA)}<v>{draw(NUMBER)}</v></c>',
                draw(mostly(["/>"], ["></c>", "><f>1</f></c>", " ><v/></c>", "><v>1</v><x/></c>"])),
            ]
        )
    )
    return f"<c{attributes}{content}"


ROW = st.tuples(
    mostly(["", ' spans="1:8"', ' ht="1" note=">"'], [' note="&amp;&lt;"', "/><row>"]),
    st.sets(st.sampled_from(COLUMNS), min_size=1, max_size=4).flatmap(
        lambda columns: st.tuples(*[cell(column) for column in sorted(columns, key=COLUMNS.index)])
    ),
)


@settings(deadline=None, max_examples=500)
@given(
    table=st.lists(ROW, min_size=1, max_size=4),
    step=st.sampled_from([1, 1, 2, 400_000]),
    strings=st.tuples(*[RICH_TEXT] * 3),
    prefix=st.sampled_from(["", "x:"]),
)
def test_given_any_rows_when_read_the_quick_way_then_expat_agrees(
    table: list[tuple[str, tuple[str, ...]]], step: int, strings: tuple[str, ...], prefix: str
) -> None:
    rows = [
        f'<row r="{number * step}"{attributes}>{{}}{"".join(row)}</row>'
        for number, (attributes, row) in enumerate(table, 1)
    ]
    texts = [f"<si>{string}</si>{{}}" for string in strings]

    def outcome(separator: str) -> object:
        book = parts(
            BLOCK + "".join(rows).format(*[separator] * len(rows)),
            strings=BLOCK + "".join(texts).format(*[separator] * len(texts)),
            styles='<xf numFmtId="0"/><xf numFmtId="22"/>',
        )
        if prefix:
            for part in ("xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"):
                xml = str(book[part]).replace("</", "\0").replace("<!", "\1").replace("<", "<x:")
                book[part] = xml.replace("\0", "</x:").replace("\1", "<!").replace("xmlns=", "xmlns:x=")
        try:
            return read(book)
        except UnreadableWorkbookError as error:
            return str(error)

    assert outcome("") == outcome(EXPAT_ONLY)
