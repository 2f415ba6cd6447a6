"""How a scene becomes a picture: the pen, the backdrop, people, animals, vehicles and things."""
