"""What the functions make of their environment."""

import pytest

from quintet.config import Settings


def test_given_no_variables_then_the_defaults_count() -> None:
    settings = Settings.read({})
    assert (settings.environment, settings.database_port, settings.cors_origins) == ("local", 5432, ())
    assert settings.queue_urls == {}


def test_given_variables_then_each_has_its_type() -> None:
    settings = Settings.read(
        {
            "ENVIRONMENT": "prod",
            "DATABASE_PORT": "6543",
            "CORS_ORIGINS": "https://a.example, https://b.example,",
            "SAME_SITE_COOKIES": "True",
            "EMAIL_QUEUE_URL": "https://sqs.example/1/email",
            "EMAIL_FEEDBACK_QUEUE_URL": "https://sqs.example/1/feedback",
            "SOMETHING_ELSE": "that is not ours",
        }
    )
    assert (settings.environment, settings.database_port, settings.same_site_cookies) == ("prod", 6543, True)
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert settings.queue_urls == {
        "email": "https://sqs.example/1/email",
        "email_feedback": "https://sqs.example/1/feedback",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENVIRONMENT", "production"),
        ("DATABASE_PORT", "many"),
        ("DATABASE_POOL_SIZE", "0"),
        ("SAME_SITE_COOKIES", "perhaps"),
    ],
)
def test_given_a_value_that_makes_no_sense_then_the_error_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        Settings.read({name: value})
