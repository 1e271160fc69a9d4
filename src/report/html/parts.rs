//! Parts of a page: tables, figures and command lines.

use super::text::escape;

/// The most characters of the header of a row that is not broken.
const SHORT: usize = 28;

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
                (_, 0) if cell.chars().count() <= SHORT => ("th", " scope=\"row\" class=\"short\""),
                (_, 0) => ("th", " scope=\"row\""),
                _ => ("td", ""),
            };
            html += &format!("<{tag}{scope}>{}</{tag}>", escape(cell));
        }
        html += "</tr>\n";
    }
    html + "</table></div>\n"
}

/// Names and values, such as the parameters of an experiment.
pub fn facts(facts: &[(String, String)]) -> String {
    let row = |(name, value): &(String, String)| {
        format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escape(name), escape(value))
    };
    format!("<div class=\"facts\"><table>\n{}</table></div>\n", facts.iter().map(row).collect::<String>())
}

/// A picture with a heading of level 3 and a caption. On a narrow screen it keeps its size and scrolls by itself, so that its
/// text can be read.
pub fn figure(title: &str, svg: &str, caption: &str) -> String {
    let (title, caption) = (escape(title), escape(caption));
    format!(
        "<figure>\n<h3>{title}</h3>\n<div class=\"scroll\" role=\"group\" aria-label=\"{title}\" tabindex=\"0\">\n{svg}</div>\n\
         <figcaption>{caption}</figcaption>\n</figure>\n"
    )
}

/// Command lines as a user would type them.
pub fn listing(lines: &[String]) -> String {
    // A line that is broken is one line still.
    format!("<pre>{}</pre>\n", lines.iter().map(|line| format!("<code>{}</code>", escape(line))).collect::<String>())
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
        assert!(html.contains("<th scope=\"row\" class=\"short\">&lt;script&gt;</th><td>-1.5</td>"), "{html}");
        assert!(listing(&["a > b".into(), "c".into()]).contains("<code>a &gt; b</code><code>c</code>"));
    }

    #[test]
    fn facts_and_figures_escape_their_text() {
        let html = facts(&[("a<".into(), "b>".into())]);
        assert!(html.contains("<tr><th scope=\"row\">a&lt;</th><td>b&gt;</td></tr>"), "{html}");
        let html = figure("a<", "<svg></svg>\n", "b>");
        assert!(
            html.contains("<h3>a&lt;</h3>") && html.contains("<svg></svg>\n</div>\n<figcaption>b&gt;</figcaption>")
        );
    }

    #[test]
    fn an_empty_heading_is_no_header() {
        let html = table("", &[vec![String::new(), "dB".into()]]);
        assert!(html.contains("<tr><td></td><th scope=\"col\">dB</th></tr>"), "{html}");
    }
}
