"""Keys of a widget in JupyterLab: pressed inside it, they are its own, and some click the button that has their class."""

GUARDED = "dataengine-form"  # the class of widgets in which keys are no shortcuts of JupyterLab
# Runs once a page. JupyterLab reads single keys wherever the focus is on a cell's buttons and lists: there, ArrowDown would
# leave the cell, A add one, and D pressed twice delete it. Lumino, whose shortcuts these are, passes over an element with
# this attribute. Keys with Ctrl, Alt or Cmd stay JupyterLab's. On `window`, which hears a key before JupyterLab does.
KEY_GUARD = f"""
if (!window.dataengineKeyGuard) {{
  window.dataengineKeyGuard = true;
  window.addEventListener('keydown', (event) => {{
    if (!event.target.closest || !event.target.closest('.{GUARDED}')) return;
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    event.target.toggleAttribute('data-lm-suppress-shortcuts', plain);
  }}, true);
}}
"""
KEYS = "dataengine-keys"  # the class of the widget that keys belong to
# Runs once a page, as an output of its own. On `window`, which hears a key before JupyterLab's shortcuts do: there, A
# would add a cell. It reads which element has the focus and clicks a button of the page; no data is put into it.
KEY_SCRIPT = f"""
if (!window.dataengineKeys) {{
  window.dataengineKeys = true;
  const rootOf = (target) => target.closest ? target.closest('.{KEYS}') : null;
  const focus = (root) => {{
    if (!root.hasAttribute('tabindex')) root.tabIndex = 0;
    root.focus({{preventScroll: true}});
  }};
  const typed = 'textarea, select, input:not([type=checkbox]):not([type=radio])';
  const press = (root, name) => {{
    const button = root.querySelector('.{KEYS}-' + CSS.escape(name));
    if (button && !button.disabled) button.click();
    return Boolean(button);
  }};
  let pointed = false;  // whether the last act was one of the mouse
  window.addEventListener('pointerdown', () => {{ pointed = true; }}, true);
  window.addEventListener('change', (event) => {{
    // letters would choose another entry of a list that keeps the focus
    const root = rootOf(event.target);
    if (root && pointed && event.target.matches('select')) focus(root);
  }}, true);
  window.addEventListener('keydown', (event) => {{
    pointed = false;
    const root = rootOf(event.target);
    if (!root) return;
    let taken = false;
    if (event.target.matches(typed)) {{
      const written = event.key === 'Enter' && (event.ctrlKey || event.metaKey);
      if (!written && event.key !== 'Escape') return;
      event.target.blur();  // a field sends its text when it loses the focus
      focus(root);
      taken = true;
      if (written) {{
        // a second event with the same text sends nothing; the button's message goes another way to the kernel, where it
        // may overtake that of the field unless it is sent later
        event.target.dispatchEvent(new Event('change', {{bubbles: true}}));
        setTimeout(() => press(root, 'ctrl-enter'), 150);
      }}
    }} else if (!event.ctrlKey && !event.metaKey && !event.altKey) {{
      taken = press(root, event.key.toLowerCase());
    }}
    if (taken) {{
      event.preventDefault();
      event.stopImmediatePropagation();
    }}
  }}, true);
  window.addEventListener('pointerup', (event) => {{
    const root = rootOf(event.target);
    // after JupyterLab, which gives the focus to the cell
    if (root && !event.target.closest(typed + ', button, label, summary, a'))
      setTimeout(() => {{ if (String(window.getSelection()) === '') focus(root); }}, 0);
  }}, true);
}}
"""


def key_class(key: str) -> str:
    """The class of a button that `key` clicks: a letter, `arrowleft`, or `ctrl-enter`, which works in text fields."""
    return f"{KEYS}-{key}"
