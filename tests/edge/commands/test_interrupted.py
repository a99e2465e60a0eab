import click
from click.testing import CliRunner

from edge import cli


def test_ctrl_c_in_any_verb_ends_with_130(monkeypatch):
    @click.command()
    def verb() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.LazyVerbs, "get_command", lambda *_: verb)
    done = CliRunner().invoke(cli.tilefix, ["verify"])
    assert done.exit_code == 130
    assert "tilefix: interrupted" in done.output and "Aborted" not in done.output


def test_ctrl_c_while_a_verb_is_imported_ends_with_130(monkeypatch):
    def importing(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.LazyVerbs, "get_command", importing)
    assert CliRunner().invoke(cli.tilefix, ["verify"]).exit_code == 130


def test_the_plugin_is_not_built_into_a_file(tmp_path):
    place = tmp_path / "afile"
    place.write_text("")
    done = CliRunner().invoke(cli.tilefix, ["plugin", "build", "--out", str(place)])
    assert done.exception is not None and getattr(done.exception, "exit_code", None) == 14
