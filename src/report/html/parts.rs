//! Parts of a page: tables and command lines.

use super::text::escape;

/// A table. The first row is its header; the first cell of each other row is that row's header. A table that is wider than
/// the page scrolls by itself, by keyboard too; `name` is what a screen reader calls it then.
pub fn table(name: &str, rows: &[Vec<String>]) -> String {
    let mut html =
        format!("<div class=\"scroll\" role=\"group\" aria-label=\"{}\" tabindex=\"0\"><table>\n", escape(name));
    for (index, row) in rows.iter().enumerate() {
        html += "<tr>";
        for (column, cell) in row.iter().enumerate() {
            let (tag, scope) = match (index, column) {
                (0, _) if cell.is_empty() => ("td", ""),
                (0, _) => ("th", " scope=\"col\""),
                (_, 0) => ("th", " scope=\"row\""),
                _ => ("td", ""),
            };
            html += &format!("<{tag}{scope}>{}</{tag}>", escape(cell));
        }
        html += "</tr>\n";
    }
    html + "</table></div>\n"
}

/// Command lines as a user would type them.
pub fn listing(lines: &[String]) -> String {
    format!("<pre><code>{}</code></pre>\n", escape(&lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_listings_escape_their_text() {
        let rows = [vec!["clip".to_string(), "dB".into()], vec!["<script>".into(), "-1.5".into()]];
        let html = table("a \"b\"", &rows);
        assert!(html.contains("aria-label=\"a &quot;b&quot;\" tabindex=\"0\"><table>"), "{html}");
        assert!(html.contains("<th scope=\"col\">clip</th><th scope=\"col\">dB</th>"), "{html}");
        assert!(html.contains("<th scope=\"row\">&lt;script&gt;</th><td>-1.5</td>"), "{html}");
        assert!(listing(&["a > b".into(), "c".into()]).contains("a &gt; b\nc"));
    }

    #[test]
    fn an_empty_heading_is_no_header() {
        let html = table("", &[vec![String::new(), "dB".into()]]);
        assert!(html.contains("<tr><td></td><th scope=\"col\">dB</th></tr>"), "{html}");
    }
}
