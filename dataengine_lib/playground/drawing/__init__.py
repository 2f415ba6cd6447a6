"""How a scene becomes a picture. scene draws it all; pen draws shapes into a box; backdrop, people, creatures (animals
and plants), things and props are what is drawn."""
