"""Settings: what the environment says, and nothing secret when they are shown."""

from chalicelib.settings import Settings, read


def test_every_setting_has_a_variable_of_its_name() -> None:
    environment = {f"COUNTLESS_{name.upper()}": f"value of {name}" for name in Settings.__slots__}
    told = read(environment)
    assert {name: getattr(told, name) for name in Settings.__slots__} == {
        name: f"value of {name}" for name in Settings.__slots__
    }


def test_absent_and_empty_variables_leave_the_default() -> None:
    assert read({"COUNTLESS_LOG_TABLE": "", "COUNTLESS_UNKNOWN": "x"}) == Settings()
    assert Settings().log_table == "countless-log"
    assert Settings().limits == "on"


def test_the_edge_secret_is_not_shown() -> None:
    assert "hidden" not in repr(Settings(edge_secret="hidden"))
